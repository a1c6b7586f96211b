# proof: gso_headers
# breaks: takes its place
# the next header of the packet is kept
s/    gso->tuoi_hdr\[info->ip_off + TUOI_IP6_NEXT\] = pkt\[info->ip_off + TUOI_IP6_LEN\];//
