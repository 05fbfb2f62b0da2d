"""The words of the sample data: all invented, every domain under .example, nobody real."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    "Ada Alva Amina Anouk Aylin Beatriz Bjørn Camille Carmen Chidi Chloé Dagmar Daria Deniz "
    "Ebba Eero Elif Emeka Esra Farid Femke Fionn Gaëlle Goran Hana Haruto Helga Ines Ingrid "
    "Ivo Jamal Jana João Jonas Jürgen Kaito Karin Kenji Lars Leila Lina Łukasz Luz Maeve Malik "
    "Márta Mehmet Mira Nadia Nils Noor Oksana Olga Omar Paola Per Petra Quinn Rafael Renée Rosa "
    "Saoirse Selma Siobhán Sofía Søren Tariq Tomáš Uma Vera Viggo Wanda Xin Yara Yusuf Zoë 伟 美咲"
)
LAST_NAMES = _words(
    "Abara Ahlgren Almeida Andrássy Arslan Baumgart Beltrán Bergström Blom Brandt Castell "
    "Chikere Dahl Dąbrowska Delacroix Demir Ekholm Fairweather Ferrante Fjeld Galvão Grønberg "
    "Hallström Haverkamp Ibáñez Ilves Jankowski Jelinek Kaplan Kessler Kovács Kuroda Lindqvist "
    "Lombardi Magnússon Marchetti Meyerhoff Moreau Meyer-Sundström Nakagawa Novák "
    "Nwosu O’Dowd Okafor Ostrowski Paredes Petrović Quayle Rasmussen Ravn Rossignol Sánchez "
    "Şahin Silva Stål Szabó Tanaka Teixeira Thorvald Ueda Vancura Varga Vestergaard Weiß "
    "Wickström Yıldız Zamora Zięba 李 山本"
)
COMPANY_STEMS = _words(
    "Alder Amber Anvil Arbor Basalt Beacon Birch Brook Cedar Cinder Cliff Cobalt Copper Coral "
    "Crag Dune Ember Falcon Fern Fjord Flint Gale Garnet Granite Grove Harbor Hazel Heron Indigo "
    "Iris Juniper Kelp Larch Linden Lumen Maple Marsh Meadow Mistral Moss Nimbus Oak Onyx Opal "
    "Orchid Osprey Pebble Pine Quartz Raven Reed Ridge Rowan Sable Sage Slate Spruce Summit Tarn "
    "Thistle Tidal Umber Vale Violet Willow Wren Zephyr Öresund Äsche"
)
COMPANY_TRADES = {
    "Technology": ("Software", "Systems", "Data", "Cloud"),
    "Healthcare": ("Clinics", "Health", "Diagnostics"),
    "Education": ("Academy", "Learning", "Institute"),
    "Manufacturing": ("Machines", "Tooling", "Castings"),
    "Financial Services": ("Capital", "Insurance", "Bank"),
    "Retail": ("Stores", "Markets", "Outfitters"),
    "Energy": ("Power", "Solar", "Grid"),
}
COMPANY_FORMS = ("Inc", "Ltd", "GmbH", "AB", "SA", "Group", "& Co")

INDUSTRIES = {
    "Technology": 30,
    "Healthcare": 14,
    "Education": 9,
    "Manufacturing": 16,
    "Financial Services": 13,
    "Retail": 11,
    "Energy": 7,
}
COUNTRIES = {
    "United States": 38,
    "Canada": 7,
    "Mexico": 4,
    "Germany": 11,
    "United Kingdom": 9,
    "France": 7,
    "Sweden": 4,
    "Netherlands": 4,
    "Spain": 4,
    "Japan": 4,
    "Brazil": 3,
    "India": 3,
    "Australia": 2,
}
STATES = {
    "United States": ("California", "New York", "Texas", "WA", "IL", "Massachusetts"),
    "Canada": ("Ontario", "Quebec"),
}
TITLES = {
    "executive": ("CTO", "CEO", "Chief Technology Officer", "Chief Marketing Officer", "CFO"),
    "director": ("Director of Engineering", "IT Director", "Sales Director"),
    "manager": ("Marketing Manager", "Project Manager", "Operations Manager", "Sales Manager"),
    "staff": ("Software Engineer", "Analyst", "Assistant to the CEO", "Consultant", "Buyer"),
}
TITLE_SHARES = {"executive": 14, "director": 14, "manager": 30, "staff": 42}
TECHNOLOGIES = ("snowflake", "sap", "kubernetes", "excel", "postgresql", "aws", "azure", "linux")
SOURCES = ("Web", "Web", "Web", "Trade Show", "Partner Referral", "Purchased List", "Phone Inquiry")
STATUSES = ("New", "New", "Working", "Working", "Nurturing", "Unqualified")

SITE = "https://www.seller.example"
AREAS = ("Analytics", "Automation", "Integration", "Security")
COLD_PAGES = (
    "/",
    "/careers",
    "/about",
    "/blog/ten-habits-of-tidy-data",
    "/blog/what-a-lead-is-worth",
    "/blog/spreadsheets-at-night",
    "/blog/a-queue-is-not-a-plan",
)
WARM_PAGES = (
    "/pricing",
    "/pricing",
    "/product/analytics",
    "/product/automation",
    "/product/integration",
    "/product/security",
    "/customers",
    "/docs/quick-start",
)
DOWNLOADS = ("product-datasheet", "security-datasheet", "buyers-guide", "integration-whitepaper")
FORMS = ("Newsletter", "Contact us", "Ask an expert")
CAMPAIGNS = {
    "webinar_attended": ("Tidy Data Live", "Automation Hour", "Security Roundtable"),
    "webinar_registered": ("Planning Season", "Integration Clinic"),
    "trade_show": ("Northern Software Fair", "Factory Days"),
}
NURTURE = ("Spring Nurture", "Product News", "Customer Stories")
CALL_OUTCOMES = ("Connected", "Connected", "No answer", "Left voicemail", "Busy")

REPS = (
    ("Alma Reyes", True),
    ("Bo Winther", True),
    ("Cleo Marsh", True),
    ("Dov Lindgren", True),
    ("Effie Stone", True),
    ("Gus Amador", True),
    ("Hedda Falk", True),
    ("Ike Barlow", True),
    ("Juno Prat", False),
    ("Kit Solheim", False),
)
QUEUES = ("Inbound Leads", "Partner Leads")
JUNK = (
    ("Mickey", "Mouse", "mickey{}@mouse.example", "Disneyland"),
    ("asdf", "asdf", "asdf{}@asdf.example", "asdf"),
    ("Test", "Test", "test{}@test.example", "test"),
    ("qwerty", "qwerty", "a{}@a.example", "xxx"),
    ("Donald", "Duck", "none{}@none.example", "n/a"),
    (None, "x", None, "123"),
)
