"""Renders the panels for Grafana with its Foundation SDK; import the JSON, or provision the folder."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from lab.monitoring.panels import BOARDS, Board, Panel
from microseg.metrics.table import LEADER

_SOURCE = DataSourceRef("prometheus", "${datasource}")
_HEIGHT, _WIDTH, _NARROW = 8, 12, 6


def files() -> dict[str, str]:
    """Name under manifests/monitoring/dashboards/ -> JSON."""
    return {f"{board.name}.json": _rendered(board) for board in BOARDS}


def _rendered(board: Board) -> str:
    built = (
        dashboard.Dashboard(board.title)
        .uid(f"microseg-{board.name}")
        .tags(["microseg"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("utc")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_variable("namespace", f"label_values({LEADER.name}, namespace)"))
        .with_variable(_variable("estate", f'label_values({LEADER.name}{{namespace=~"$namespace"}}, estate)'))
    )
    for panel in board.panels:
        built = built.with_panel(_panel(panel))
    return f"{JSONEncoder(sort_keys=True, indent=2).encode(built.build())}\n"


def _variable(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .query(query)
        .datasource(_SOURCE)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .refresh(2)  # type: ignore[arg-type]  # the SDK's enum: on every change of the time range
    )


def _panel(panel: Panel) -> stat.Panel | timeseries.Panel:
    built: stat.Panel | timeseries.Panel = stat.Panel() if panel.current else timeseries.Panel().fill_opacity(10)
    built = built.title(panel.title).description(panel.meaning).unit(panel.unit).datasource(_SOURCE)
    built = built.height(_HEIGHT).span(_NARROW if panel.current else _WIDTH)
    for query in panel.queries:
        built = built.with_target(
            prometheus.Dataquery().expr(query.expr).legend_format(query.legend).datasource(_SOURCE)
        )
    return built
