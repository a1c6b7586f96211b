# proof: account_tso
# breaks: beyond 65535
# BIG TCP goes to devices that do not take it
s/ && info.total_len > tuoi_caps_max_len(caps, info.kind)) return TUO_E_IP_LENGTH/ \&\& info.total_len > 200000u) return TUO_E_IP_LENGTH/
