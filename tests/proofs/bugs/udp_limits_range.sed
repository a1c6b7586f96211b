# proof: udp_limits
# breaks: within the documented range\|max_segs
# one datagram more than Linux takes
/^static tuo_udp_limits tuoi_udp_limits_of/,/^}/s/TUOI_UDP_SEGS_MAX/TUOI_UDP_SEGS_MAX + 1/
