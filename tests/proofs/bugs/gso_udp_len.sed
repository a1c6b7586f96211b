# proof: gso_lengths
# breaks: UDP length
# UDP length without its header
s/tuo__wr16(hdr + gso->tuo__l4_off + TUO__UDP_TOTAL, end - gso->tuo__l4_off)/tuo__wr16(hdr + gso->tuo__l4_off + TUO__UDP_TOTAL, len)/
