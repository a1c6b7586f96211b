# proof: gro_apply
# breaks: sums of both
# the sum of payloads misses a packet
/void tuoi_item_append/,/^}/s/item->payload_len += payload_len;//
