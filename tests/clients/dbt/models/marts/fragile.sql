select id, amount / {{ 0 if var('fail', false) else 1 }} as share from {{ ref('orders') }}
