"""The operations page: what Warren's services count, drawn live, for whoever has no Grafana.

`figures` says what is drawn, here and in the Grafana dashboard; `scrape` reads the replicas' metrics, `rates` makes the
figures' numbers of them, `watch` does both over and over and keeps the last minutes. `charts` draws a figure, `page` is
the Streamlit script.
"""
