# proof: sum_complete
# breaks: region\|range
# the field may begin one byte too late
s/csum_offset > len - csum_start - 2) return TUO_E_CSUM_RANGE/csum_offset > len - csum_start - 1) return TUO_E_CSUM_RANGE/
