# proof: tx_plan tx_plan_large
# breaks: plan: a unit fits, in bytes
# headers are not counted in what the device takes
s/tuoi_unit_segs = tuoi_min32(tx->tuoi_segs_max, tx->tuoi_payload_max \/ size);/tuoi_unit_segs = tuoi_min32(tx->tuoi_segs_max, max_len \/ size);/
