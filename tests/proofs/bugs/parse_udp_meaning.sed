# proof: parse_meaning
# breaks: UDP length
# the UDP length is read from the checksum field
/tuo_result tuo__parse_udp/,/^}/s/udp + TUO__UDP_TOTAL/udp + TUO__UDP_CSUM/
