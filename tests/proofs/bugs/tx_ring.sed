# proof: tx_queue
# breaks: .
# the ring is one slot too long
s/return off < cap - head ? head + off/return off <= cap - head ? head + off/
