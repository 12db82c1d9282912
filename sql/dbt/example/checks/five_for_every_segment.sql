select segment, count(*) from {{ ref('recommended') }} group by segment having count(*) <> 5
