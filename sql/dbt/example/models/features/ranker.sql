{{ config(materialized='feature_service') }}
{{ ref('item_clicks') }}(impressions, clicks)
