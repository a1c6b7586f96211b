# proof: gso_plan
# breaks: a segment is an IP packet
# a single packet in a tunnel may be longer than its length fields can say
s/result = tuoi_vnet_check_segment(info, outer, info->payload_len);/result = info->payload_off > TUO_HEADER_MAX ? TUO_E_HEADER_TOO_LONG : TUO_OK;/
