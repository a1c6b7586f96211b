# proof: tx_units tx_units_large
# breaks: more than the device takes
# a superpacket may be larger than the device takes
/^static tuo__ladder_unit tuo__ladder_unit_next/,/^}/s/ \&\& len_left <= tx->tuo__payload_max//
