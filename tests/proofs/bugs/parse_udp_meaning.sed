# proof: parse_meaning
# breaks: UDP length
# the UDP length is read from the checksum field
/tuo_result tuoi_parse_udp/,/^}/s/udp + TUOI_UDP_TOTAL/udp + TUOI_UDP_CSUM/
