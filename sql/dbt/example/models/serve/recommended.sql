{# Five items for each segment of users that was seen, nearest first. #}
with segments as (
  select distinct segment from {{ ref('examples') }}
), near as (
  select s.segment, v.item, v.campaign, v.item_id,
         v.embedding <#> embed_user(s.segment, model => '{{ this.schema }}.taste') as distance
  from segments s, {{ ref('item_vectors') }} v
), placed as (
  select *, row_number() over (partition by segment order by distance, item) as place from near
)
select segment, place, item, campaign, item_id, distance from placed where place <= 5
