# proof: tx_plan
# breaks: plan: a unit fits, in bytes
# headers are not counted in what the device takes
s/tx->tuo__unit_segs = tuo__min32(tx->tuo__segs_max, tx->tuo__payload_max \/ size);/tx->tuo__unit_segs = tuo__min32(tx->tuo__segs_max, max_len \/ size);/
