select * from {{ ref('totals') }} where spent < 0
