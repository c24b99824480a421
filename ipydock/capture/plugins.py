"""What libraries import only when a certain thing is asked of them: openpyxl behind ``read_excel``.

Such a distribution is never imported by the notebook and required by nothing, yet without it the
notebook fails. Three things tell that it is needed, the surest first:

1. A session that was watched from its first cell saw it imported while a function of the library
   ran, not while the library itself was imported (`ipydock.capture.watch`). What is imported with
   the library is there only because it happens to be installed: pandas does so with pyarrow,
   numexpr and bottleneck, and does without them where they are absent.
2. The source calls what needs it, by the table below.
3. A session that was not watched has it in memory, and the table has it for that library.

Sources of the table: "Install optional dependencies" and ``pandas/compat/_optional.py`` of pandas;
"Optional dependencies" of xarray; the documentation of the functions of the other libraries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass

from .findings import Place, Use

# Top-level module -> what is asked of it -> distributions: of alternatives (|) the first that is
# installed, of those that go together (+) all.
_TABLE: Mapping[str, Mapping[str, str]] = {
    "pandas": {
        "read_excel ExcelFile": "openpyxl | python-calamine | xlrd",
        "to_excel ExcelWriter": "xlsxwriter | openpyxl",
        "read_html": "lxml | beautifulsoup4+html5lib",
        "read_xml to_xml": "lxml",
        "read_hdf to_hdf HDFStore": "tables",
        "read_parquet to_parquet": "pyarrow | fastparquet",
        "read_feather to_feather read_orc to_orc ArrowDtype": "pyarrow",
        "style to_latex": "jinja2",
        "to_markdown": "tabulate",
        "read_spss": "pyreadstat",
        "read_gbq to_gbq": "pandas-gbq",
        "to_xarray": "xarray",
        "plot hist boxplot scatter_matrix autocorrelation_plot lag_plot": "matplotlib",
    },
    "xarray": {
        "open_dataset load_dataset open_mfdataset open_dataarray load_dataarray to_netcdf": (
            "netcdf4 | h5netcdf | scipy"
        ),
        "open_zarr to_zarr": "zarr",
        "open_mfdataset chunk": "dask",
        "to_dataframe to_pandas": "pandas",
        "plot": "matplotlib",
    },
    "plotly": {"write_image to_image": "kaleido"},
    "networkx": {
        "draw draw_networkx draw_circular draw_kamada_kawai draw_random draw_shell draw_spectral "
        "draw_spring draw_networkx_nodes draw_networkx_edges draw_networkx_labels": "matplotlib",
        "pagerank hits kamada_kawai_layout to_scipy_sparse_array": "scipy",
        "spring_layout to_numpy_array from_numpy_array": "numpy",
        "graphviz_layout pygraphviz_layout": "pygraphviz | pydot",
        "from_pandas_edgelist to_pandas_edgelist to_pandas_adjacency": "pandas",
    },
    "geopandas": {"plot": "matplotlib", "explore": "folium+mapclassify"},
    "sklearn": {
        "fetch_openml": "pandas",
        "plot_tree from_estimator from_predictions": "matplotlib",
    },
    "sympy": {"plot plot3d plot_parametric": "matplotlib", "lambdify": "numpy"},
    "statsmodels": {"plot graphics qqplot plot_acf plot_pacf plot_diagnostics": "matplotlib"},
    "keras": {"plot_model": "pydot"},
    "tensorflow": {"plot_model": "pydot"},
    "torch": {"tensorboard SummaryWriter": "tensorboard"},
    "seaborn": {"clustermap": "scipy", "residplot lmplot regplot": "statsmodels"},
    "altair": {"save": "vl-convert-python"},
    "dask": {"visualize": "graphviz"},
    "tqdm": {"notebook tqdm_notebook": "ipywidgets"},
}
# The kind of a file decides which of pandas' readers is taken ("Excel files" in its user guide).
_SUFFIXES = {".xls": "xlrd", ".xlsb": "pyxlsb", ".ods": "odfpy"}
# A web of file systems: fsspec's registry of known implementations.
_SCHEMES = {"s3://": "s3fs", "gs://": "gcsfs", "abfs://": "adlfs", "hdfs://": "pyarrow"}

ASKED = frozenset(name for asked in _TABLE.values() for names in asked for name in names.split())


@dataclass(frozen=True, slots=True)
class Plugin:
    """A distribution that a library imports on demand, who that is, and the place asking for it."""

    distribution: str
    by: str
    place: Place


def behind(
    uses: Iterable[Use],
    aliases: Mapping[str, str],
    libraries: Mapping[str, str],
    installed: Collection[str],
) -> list[Plugin]:
    """The installed distributions behind what the source asks for.

    Args:
        uses: calls and attributes of a name in `ASKED`.
        aliases: what the names that imports bound mean (``pd`` -> ``pandas``).
        libraries: the top-level modules that the notebook imports, with their distributions.
        installed: canonical names.
    """
    found: dict[tuple[str, str], Plugin] = {}
    for use in uses:
        module = aliases.get(use.base, "").partition(".")[0]
        for library, asked in _TABLE.items():
            # `plt.style` is matplotlib's, `df.style` may be anyone's who is there.
            if library not in libraries or (module and module != library):
                continue
            for names, choice in asked.items():
                if use.name in names.split():
                    for name in _chosen(use, choice, installed):
                        by = libraries[library]
                        found.setdefault((name, by), Plugin(name, by, use.place))
    return [found[key] for key in sorted(found)]


def _chosen(use: Use, choice: str, installed: Collection[str]) -> list[str]:
    scheme = next((name for start, name in _SCHEMES.items() if use.text.startswith(start)), None)
    suffix = next((name for end, name in _SUFFIXES.items() if use.text.endswith(end)), None)
    alternatives = [[name.strip() for name in group.split("+")] for group in choice.split("|")]
    if use.engine:
        named = [group for group in alternatives if group[0] == use.engine]
        alternatives = named or alternatives
    if suffix in installed and suffix is not None and use.name in ("read_excel", "ExcelFile"):
        alternatives = [[suffix]]
    chosen = next((group for group in alternatives if set(group) <= set(installed)), [])
    return [*chosen, *([scheme] if scheme is not None and scheme in installed else [])]


def on_demand(library: str) -> Set[str]:
    """All that a library (by its distribution's name) is known to import on demand."""
    module = {"scikit-learn": "sklearn"}.get(library, library)
    choices = " | ".join(_TABLE.get(module, {}).values())
    names = {name.strip() for group in choices.split("|") for name in group.split("+")} - {""}
    if library == "pandas":
        names |= {*_SUFFIXES.values(), *_SCHEMES.values(), "sqlalchemy", "fsspec", "html5lib"}
    return names
