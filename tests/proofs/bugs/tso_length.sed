# proof: account_tso
# breaks: beyond 65535
# BIG TCP goes to devices that do not take it
s/info.total_len > tuoi_caps_max_len(caps, info.kind))/info.total_len > 200000u)/
