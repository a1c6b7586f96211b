# proof: tx_queue
# breaks: a ring\|outside object bounds
# the ring is one slot too long
s/return off < capacity - head ? head + off/return off <= capacity - head ? head + off/
