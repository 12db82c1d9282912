select id, amount, ordered_at::date as ordered_on from {{ ref('placed') }}
