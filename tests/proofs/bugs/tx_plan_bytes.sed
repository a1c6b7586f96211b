# proof: tx_plan tx_plan_large
# breaks: plan: a unit fits, in bytes
# headers are not counted in what the device takes
s/tuo__unit_segs = tuo__min32(tx->tuo__segs_max, tx->tuo__payload_max \/ size);/tuo__unit_segs = tuo__min32(tx->tuo__segs_max, max_len \/ size);/
