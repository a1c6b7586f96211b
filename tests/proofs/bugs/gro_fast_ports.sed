# proof: gro_fast
# breaks: same flow\|allowed as the head is
# the fast path does not look at the last byte of the ports
s/tuoi_same_tcp\[\] = { { 0, 4 }/tuoi_same_tcp[] = { { 0, 3 }/
