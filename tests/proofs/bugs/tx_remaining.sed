# proof: tx_remaining tx_remaining_large
# breaks: remains
# the quotient is not rounded up
s/by_len = (len - tx->tuoi_payload_max - 1) \/ unit_len + 1;/by_len = (len - tx->tuoi_payload_max) \/ unit_len + 1;/
