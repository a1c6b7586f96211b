# proof: gro_classify
# breaks: candidate
# bytes behind the IP packet are let through
s/if (info->trailer_len) return TUO_V_TRAILING_BYTES;//
