# proof: gro_express
# breaks: same ports
# the express lane does not look at the last byte of the ports
s/tuo__same_tcp\[\] = { { 0, 4 }/tuo__same_tcp[] = { { 0, 3 }/
