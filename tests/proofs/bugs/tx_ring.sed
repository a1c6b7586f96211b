# proof: tx_queue
# breaks: a ring\|outside object bounds
# the ring is one slot too long
s/return off < cap - head ? head + off/return off <= cap - head ? head + off/
