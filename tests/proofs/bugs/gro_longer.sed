# proof: gro_decide
# breaks: short
# a longer segment may follow
s/if (facts->payload_len > item->gso_size) return TUO_V_LONGER;//
