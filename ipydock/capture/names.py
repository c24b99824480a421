"""Import names and the distributions that provide them, for modules not installed.

What is installed is looked up in its own metadata; these tables only serve where there is none, and
what they give is marked as a guess. The short list here has the first word: an entry is in it
because the two names differ, or because another distribution is preferred to the one that the map
has; the reason says why. The map is made from Debian's packages and is shipped beside this module.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import tables
from .findings import words

# import name -> (distributions, the preferred one first; reason)
DIFFERENT: dict[str, tuple[tuple[str, ...], str]] = {
    "Bio": (("biopython",), ""),
    "Crypto": (("pycryptodome", "pycrypto"), "pycrypto is abandoned; pycryptodome replaces it"),
    "Cryptodome": (("pycryptodomex",), ""),
    "Cython": (("cython",), ""),
    "IPython": (("ipython",), ""),
    "Image": (("pillow",), "the old name of PIL.Image"),
    "Levenshtein": (("levenshtein", "python-levenshtein"), ""),
    "MySQLdb": (("mysqlclient",), "MySQL-python is for Python 2 only"),
    "OpenGL": (("pyopengl",), ""),
    "OpenSSL": (("pyopenssl",), ""),
    "PIL": (("pillow", "pillow-simd"), "pillow-simd has to be compiled"),
    "PyPDF2": (("pypdf2",), ""),
    "PyQt5": (("pyqt5",), ""),
    "PyQt6": (("pyqt6",), ""),
    "ruamel.yaml": (("ruamel-yaml",), ""),
    "Xlib": (("python-xlib",), ""),
    "Algorithmia": (("algorithmia",), ""),
    "Quandl": (("quandl",), ""),
    "SimpleITK": (("simpleitk",), ""),
    "absl": (("absl-py",), ""),
    "apiclient": (("google-api-python-client",), "the old name of googleapiclient"),
    "astroML": (("astroml",), ""),
    "attr": (("attrs",), ""),
    "bs4": (("beautifulsoup4",), ""),
    "Bottleneck": (("bottleneck",), ""),
    "caffe2": (("torch",), ""),
    "cairo": (("pycairo",), ""),
    "community": (("python-louvain",), "the package named community is another one"),
    "cv2": (
        (
            "opencv-python-headless",
            "opencv-python",
            "opencv-contrib-python",
            "opencv-contrib-python-headless",
        ),
        "the headless build needs no display libraries",
    ),
    "cupy": (("cupy-cuda12x", "cupy-cuda11x", "cupy"), "the build for CUDA 12; cupy is compiled"),
    "dateutil": (("python-dateutil",), ""),
    "discord": (("discord-py",), ""),
    "dns": (("dnspython",), ""),
    "docx": (("python-docx",), "the package named docx is an abandoned one"),
    "dotenv": (("python-dotenv",), ""),
    "faiss": (("faiss-cpu", "faiss-gpu"), "the build for any machine"),
    "fitz": (("pymupdf",), "the package named fitz is another one"),
    "flask_cors": (("flask-cors",), ""),
    "gi": (("pygobject",), ""),
    "git": (("gitpython",), ""),
    "github": (("pygithub",), ""),
    "google.api_core": (("google-api-core",), ""),
    "google.auth": (("google-auth",), ""),
    "google.cloud.bigquery": (("google-cloud-bigquery",), ""),
    "google.cloud.storage": (("google-cloud-storage",), ""),
    "google.cloud.vision": (("google-cloud-vision",), ""),
    "google.cloud.language": (("google-cloud-language",), ""),
    "google.cloud.translate": (("google-cloud-translate",), ""),
    "google.cloud.aiplatform": (("google-cloud-aiplatform",), ""),
    "google.generativeai": (("google-generativeai",), ""),
    "google.oauth2": (("google-auth",), ""),
    "google.protobuf": (("protobuf",), ""),
    "google_auth_oauthlib": (("google-auth-oauthlib",), ""),
    "googleapiclient": (("google-api-python-client",), ""),
    "ibis": (("ibis-framework",), "the package named ibis is another one"),
    "iris": (("scitools-iris",), "the package named iris is another one"),
    "imblearn": (("imbalanced-learn",), ""),
    "jose": (("python-jose",), ""),
    "jwt": (("pyjwt",), "the package named jwt is another one"),
    "kafka": (("kafka-python",), ""),
    "keras_preprocessing": (("keras-preprocessing",), ""),
    "ldap": (("python-ldap",), ""),
    "llama_index": (("llama-index",), ""),
    "magic": (("python-magic",), ""),
    "matplotlib_inline": (("matplotlib-inline",), ""),
    "mpl_toolkits": (("matplotlib",), "part of matplotlib"),
    "mpl_toolkits.basemap": (("basemap",), ""),
    "mpl_finance": (("mpl-finance",), ""),
    "mysql": (("mysql-connector-python",), "by its vendor"),
    "nb_black": (("nb-black",), ""),
    "nacl": (("pynacl",), ""),
    "pandas_datareader": (("pandas-datareader",), ""),
    "pandas_profiling": (("ydata-profiling", "pandas-profiling"), "renamed to ydata-profiling"),
    "past": (("future",), "part of future"),
    "pkg_resources": (("setuptools",), "part of setuptools"),
    "plotly_express": (("plotly",), "now part of plotly"),
    "psycopg2": (("psycopg2-binary", "psycopg2"), "psycopg2 itself has to be compiled"),
    "pptx": (("python-pptx",), ""),
    "pyLDAvis": (("pyldavis",), ""),
    "pylab": (("matplotlib",), "part of matplotlib"),
    "pythoncom": (("pywin32",), "for Windows only"),
    "pywintypes": (("pywin32",), "for Windows only"),
    "pywt": (("pywavelets",), ""),
    "qiskit": (("qiskit",), "qiskit-terra is what it was called in part"),
    "rest_framework": (("djangorestframework",), ""),
    "scikitplot": (("scikit-plot",), ""),
    "sentence_transformers": (("sentence-transformers",), ""),
    "serial": (("pyserial",), "the package named serial is another one"),
    "shapefile": (("pyshp",), ""),
    "skimage": (("scikit-image",), ""),
    "sklearn": (("scikit-learn",), "the package named sklearn is a deprecated alias"),
    "sklearn_crfsuite": (("sklearn-crfsuite",), ""),
    "skopt": (("scikit-optimize",), ""),
    "skbio": (("scikit-bio",), ""),
    "sksurv": (("scikit-survival",), ""),
    "skfuzzy": (("scikit-fuzzy",), ""),
    "slugify": (("python-slugify",), ""),
    "snappy": (("python-snappy",), ""),
    "socks": (("pysocks",), ""),
    "speech_recognition": (("speechrecognition",), ""),
    "sql": (("ipython-sql", "jupysql"), "the %sql magic"),
    "surprise": (("scikit-surprise",), "the package named surprise only points to it"),
    "tabula": (("tabula-py",), "the package named tabula is another one"),
    "telegram": (("python-telegram-bot",), ""),
    "tensorflow_datasets": (("tensorflow-datasets",), ""),
    "tensorflow_hub": (("tensorflow-hub",), ""),
    "tensorflow_probability": (("tensorflow-probability",), ""),
    "tlz": (("toolz",), "part of toolz"),
    "umap": (("umap-learn",), "the package named umap is another one"),
    "usb": (("pyusb",), ""),
    "win32api": (("pywin32",), "for Windows only"),
    "win32com": (("pywin32",), "for Windows only"),
    "win32con": (("pywin32",), "for Windows only"),
    "win32gui": (("pywin32",), "for Windows only"),
    "wx": (("wxpython",), ""),
    "yaml": (("pyyaml",), ""),
    "zmq": (("pyzmq",), ""),
}

# Distributions that are well known and are imported by their own name (with - as _).
SAME: frozenset[str] = words(
    """
    aiohttp albumentations altair anndata ansible arviz astropy attrs autograd bambi bokeh boto
    boto3 botocore bottleneck bqplot cartopy catboost celery cffi cftime chardet cirq click
    cloudpickle colorama contourpy cookiecutter corner cryptography cssselect cvxopt cvxpy
    cycler cython cytoolz dash dask datasets datashader deap decorator diffusers dill
    distributed django docker docopt duckdb ebooklib eli5 emcee empiricaldist et_xmlfile
    evaluate fastai fastapi fastparquet feedparser fiona flask folium fsspec fuel future geemap
    gensim geopandas geopy ggplot gmpy2 gpflow graphviz greenlet gym gymnasium h5netcdf h5py
    hdf5storage holoviews html5lib httpx huggingface_hub hvplot hypothesis igraph imageio
    iminuit ipykernel ipyleaflet ipympl ipyparallel ipyvolume ipywidgets jax jaxlib jieba jinja2
    joblib jsonschema julia jupyter_client kaggle keras kiwisolver kneed langchain
    langchain_openai langdetect librosa lifelines lightgbm lime line_profiler llvmlite lmfit
    lxml lz4 mapclassify markdown markupsafe matplotlib matplotlib_venn mdtraj memory_profiler
    mglearn missingno mistune mlflow mlxtend mne mock modin moviepy mpi4py mpld3 mpmath mrjob
    msgpack multiprocess mxnet nbconvert nbformat netCDF4 networkx nibabel nilearn nltk nose
    notebook numba numexpr numpy oauth2client oauthlib obspy oct2py onnx onnxruntime openai
    openpyxl optuna osmnx palettable pandas pandasql panel papermill param paramiko patsy peewee
    peft pexpect pickleshare pingouin pint plotly plotnine polars pooch prettytable prophet
    psutil psycopg pvlib py4j pyarrow pycocotools pycountry pydantic pydeck pydicom pydot
    pydotplus pyecharts pygal pyglet pygments pymc pymc3 pymongo pymysql pyodbc pyparsing
    pyperclip pyproj pysal pyspark pystan pytensor pytesseract pytest pytorch_lightning pytz
    pyvis pyvista qiskit qutip rasterio rasterstats ray rdkit redis regex requests rich rpy2
    rtree s3fs sacrebleu scanpy scapy scipy scrapy seaborn selenium sentencepiece setuptools
    shap shapely simplejson simpy sip six skimpy skorch snorkel sortedcontainers spacy
    sqlalchemy sqlparse squarify starlette statsmodels streamlit stumpy sympy tables tabulate
    tensorboard tensorflow termcolor textblob textdistance theano tiktoken timm tokenizers toml
    toolz torch torchaudio torchmetrics torchtext torchvision tornado tqdm traitlets traittypes
    transformers treelib trimesh tsfresh tweepy twisted typer ultralytics uncertainties
    unidecode urllib3 vaex vega vega_datasets vincent voila vtk wandb watermark wbdata werkzeug
    wikipedia wordcloud wrapt xarray xgboost xlrd xlsxwriter xlwt xmltodict ydata_profiling
    yellowbrick yfinance zarr
    """
)

# Standard library modules that a kernel has loaded before it reads the first cell: a file of that
# name beside the notebook is not what `import` gives. (Read from a fresh ipykernel 7.)
LOADED_FIRST: frozenset[str] = words(
    """
    __future__ abc argparse array ast asyncio atexit base64 bdb binascii bisect builtins bz2
    calendar cmd code codecs codeop collections concurrent contextlib contextvars copy copyreg
    csv ctypes curses dataclasses datetime decimal dis email encodings enum errno faulthandler
    fcntl fnmatch functools genericpath getopt getpass gettext glob gzip hashlib heapq hmac html
    http importlib inspect io ipaddress itertools json keyword linecache locale logging lzma
    marshal math mimetypes ntpath numbers opcode operator os pathlib pdb pickle pkgutil platform
    posix posixpath pprint pwd pydoc pyexpat queue quopri random re reprlib resource runpy
    select selectors shlex shutil signal site socket socketserver sqlite3 ssl stat string
    stringprep struct subprocess sys sysconfig tempfile termios textwrap threading time token
    tokenize traceback types typing unicodedata urllib uuid warnings weakref xml xmlrpc zipfile
    zipimport zlib zoneinfo
    """
)


# Modules of Python 2's standard library, by what they are called now.
PYTHON2: dict[str, str] = {
    "BeautifulSoup": "bs4",
    "ConfigParser": "configparser",
    "Queue": "queue",
    "StringIO": "io",
    "Tkinter": "tkinter",
    "__builtin__": "builtins",
    "cPickle": "pickle",
    "cStringIO": "io",
    "commands": "subprocess",
    "copy_reg": "copyreg",
    "exceptions": "builtins",
    "httplib": "http.client",
    "sets": "set",
    "tkFileDialog": "tkinter.filedialog",
    "tkMessageBox": "tkinter.messagebox",
    "urllib2": "urllib.request",
    "urlparse": "urllib.parse",
}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a module that is not installed.

    ``package`` is the part of its name that is known (``google.cloud.storage``), ``distributions``
    has the preferred one first, ``reason`` says why that one, or where it is from.
    """

    package: str
    distributions: tuple[str, ...]
    reason: str


def look_up(module: str) -> Known | None:
    """The distributions that may provide a dotted module.

    The longest part of the name that is known counts; of one part the curated list has the first
    word. None if the module is not known: its own name is not taken for a distribution just like
    that.
    """
    found = [known for known in (curated(module), mapped(module)) if known is not None]
    return max(found, key=lambda known: len(known.package), default=None) or _same(module)


def curated(module: str) -> Known | None:
    """What the list above says of a module."""
    for part in _parts(module):
        if part in DIFFERENT:
            distributions, reason = DIFFERENT[part]
            return Known(part, distributions, reason)
    return None


def mapped(module: str) -> Known | None:
    """What the shipped map says of a module (``scripts/name_map.py``)."""
    for part in _parts(module):
        row = tables.find("modules", part)
        if row is not None:
            source, _, edition = row[1].partition("/")
            by = "its wheel" if source == "wheel" else f"Debian {edition}'s {source}"
            return Known(part, tuple(row[0].split(",")), f"{by} has this module")
    return None


def _same(module: str) -> Known | None:
    top = module.partition(".")[0]
    if top in SAME:
        return Known(top, (top.replace("_", "-").lower(),), "")
    return None


def _parts(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(min(len(parts), 6), 0, -1)]
