{{ config(indexes=[{'columns': ['embedding vector_ip_ops'], 'type': 'ivf'}]) }}
-- depends_on: {{ ref('taste') }}
select item, campaign, item_id,
       embed_item(item, model => '{{ this.schema }}.taste', campaign => campaign,
                  item_feature_1 => item_feature_1, item_feature_2 => item_feature_2,
                  item_feature_3 => item_feature_3) as embedding
from {{ ref('items') }}
