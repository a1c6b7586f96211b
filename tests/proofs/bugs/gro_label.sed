# proof: gro_decide
# breaks: kept bytes
# the last byte of the flow label may differ
s/    { 3, 0xFF, TUO_V_FLOW_LABEL_DIFFERS },//;s/{ { 0, 4 }, { TUOI_IP6_NEXT, 1 }/{ { 0, 3 }, { TUOI_IP6_NEXT, 1 }/
