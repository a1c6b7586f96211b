# proof: parse_key
# breaks: address
# the destination of IPv4 is taken from 16 bytes further
s/ip + kind->addr_off + kind->addr_len, kind->addr_len/ip + kind->addr_off + 16, kind->addr_len/
