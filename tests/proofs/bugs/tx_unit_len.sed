# proof: tx_units tx_units_large
# breaks: more than the device takes
# a superpacket may be larger than the device takes
/^static tuoi_ladder_unit tuoi_ladder_unit_next/,/^}/s/ \&\& len_left <= tx->tuoi_payload_max//
