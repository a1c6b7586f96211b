# proof: gro_decide
# breaks: kept bytes
# the second byte of the acknowledgment number may differ
s/{ TUO__TCP_ACK + 1, 0xFF, TUO_V_ACK_DIFFERS },/{ TUO__TCP_ACK + 2, 0xFF, TUO_V_ACK_DIFFERS },/
