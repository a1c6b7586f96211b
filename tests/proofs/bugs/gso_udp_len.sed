# proof: gso_lengths
# breaks: UDP length
# UDP length without its header
s/tuoi_wr16(hdr + l4_off + TUOI_UDP_TOTAL, end - l4_off)/tuoi_wr16(hdr + l4_off + TUOI_UDP_TOTAL, end - l4_off - TUOI_UDP_LEN)/
