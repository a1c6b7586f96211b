# proof: gro_decide
# breaks: kept bytes
# the second byte of the acknowledgment number may differ
s/{ TUOI_TCP_ACK + 1, 0xFF, TUO_V_ACK_DIFFERS },/{ TUOI_TCP_ACK + 2, 0xFF, TUO_V_ACK_DIFFERS },/
