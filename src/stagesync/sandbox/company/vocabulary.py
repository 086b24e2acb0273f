"""What people type into a CRM: names, companies, pains, next steps, and the ugly ones among them."""

from __future__ import annotations

from datetime import date
from random import Random

FIRST_NAMES = (
    "Anna", "Ben", "Chloé", "David", "Elif", "Finn", "Grace", "Hugo", "Ines", "Jürgen", "Katarzyna", "Luca",
    "María", "Noah", "Olga", "Pedro", "Quentin", "Rania", "Søren", "Tomáš", "Uma", "Valérie", "Wei", "Xenia",
    "Yusuf", "Zoë", "Aarav", "Beatriz", "Cheng", "Daria", "Emeka", "Freya", "Giulia", "Hiroshi", "Ivana", "João",
)  # fmt: skip
LAST_NAMES = (
    "Smith", "Müller", "García", "Rossi", "O'Neill", "Dubois", "Kowalski", "Nilsson", "van der Berg", "Tanaka",
    "Ivanova", "Okonkwo", "Haddad", "Fernández-Ruiz", "Ødegård", "Schäfer", "D'Angelo", "Novák", "Kaya", "Chen",
    "Patel", "McCarthy", "Papadopoulos", "Horváth", "Lefèvre", "Jensen", "Costa", "Moreau", "Weiß", "Yılmaz",
)  # fmt: skip
UGLY_PERSONS = (
    ("Null", "Null"),
    ("<script>alert('hi')</script>", "Bobby"),
    ('Robert "Bob"', "Tables'); DROP TABLE Lead;--"),
    ("🚀 Max", "Power 🎉"),
    ("José  María", "Ruiz  de  la   Prada"),
    ("李", "小龍"),
    ("Ng", "O"),
    ("Anne-Sophie", "x" * 79),
    ("Zoë\u0301", "Groß\u00adkopf"),
    ("محمد", "العلي"),
    ("Jean & Jeanne", "Dupont; Durand, fils"),
    ("TBD", "N/A"),
)
TITLES = ("Head of Operations", "CFO", "VP Supply Chain", "IT Director", "Plant Manager", "CEO", "Buyer",
          "Warehouse Lead", "COO", "Procurement Manager", "Head of Logistics", "Automation Engineer")  # fmt: skip

COMPANY_HEADS = (
    "Alder", "Baltic", "Cascade", "Dunmore", "Eiger", "Fjord", "Granite", "Hanse", "Iberia", "Juniper", "Kestrel",
    "Lumen", "Meridian", "Nordstern", "Obsidian", "Pinnacle", "Quarry", "Rhône", "Sierra", "Tidewater", "Ümlaut",
    "Vistula", "Westfield", "Xylo", "Yarrow", "Zephyr",
)  # fmt: skip
COMPANY_MIDDLES = ("Foods", "Logistics", "Pharma", "Paper", "Motors", "Retail", "Chemicals", "Textiles", "Steel",
                   "Packaging", "Beverages", "Optics", "Tools", "Marine", "Dairy", "Print")  # fmt: skip
COMPANY_TAILS = ("GmbH", "Ltd", "Inc.", "S.A.", "AB", "B.V.", "& Sons", "Co., Ltd.", "SpA", "Oy", "LLC", "Group")
UGLY_COMPANIES = (
    "Rock 'n' Roll \"Supplies\" & Co; <b>Bold</b>, Inc.",
    "株式会社 サンプル物流",
    "Ñandú  Ávila   Hermanos",
    '=HYPERLINK("http://example.invalid","Acme")',
    "🍕 Pizza 4U™",
    "N/A Industries",
)
COUNTRIES = ("GB", "DE", "FR", "SE", "ES", "US", "NL", "IT", "PL", "JP", "BR", "IN", "AU", "IE")
INDUSTRIES = ("Manufacturing", "Retail", "Transportation", "Food & Beverage", "Chemicals", "Electronics",
              "Healthcare", "Apparel")  # fmt: skip
LEAD_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Trade Show", "Other")

_WHO = ("Our pickers", "The night shift", "Two of our three sites", "The planners", "Our carriers", "The returns desk",
        "Finance", "The plant in Łódź", "Every second depot")  # fmt: skip
_WHAT = (
    "lose {n} hours a week looking for parts",
    "ship {n} % of the orders to the wrong address",
    "cannot say what is in stock; we count by hand every {n} days",
    "retype every order, {n} times a day, between two systems",
    "turn down {n} orders a month because the line is full",
    "had {n} accidents with forklifts this year",
    "wait {n} minutes for a label printer",
    "pay overtime for {n} people each weekend",
)
_SINCE = ("since the new plant opened", "since last spring", "- \"it can't go on like this\"", "and the auditors know",
          "says the COO", "; the board wants it gone by summer", "and it costs about € 3.500,00 a month")  # fmt: skip
FOREIGN_PAINS = ("Много ошибок", "在庫 不足", "نقص العمال", "Πολλά λάθη", "배송 지연")
_LONG = "The whole story, as told on the phone: " + "orders come in by fax, are typed in twice and lost once. " * 60

_STEPS = (
    "{who} sends the revised quote by {day}",
    "Demo for the plant team on {day}, {who} invites",
    "{who} to confirm the site visit on {day}",
    "Contract with legal; {who} calls on {day}",
    "Security questionnaire back from {who} by {day}",
    "{who} presents the business case to the board on {day}",
    "Pilot starts on {day}; {who} sends the list of users",
)
PASTED_STEP = "Waiting for the customer to come back to us after their internal review"
USUAL_STEPS = ("Send proposal", "Send the revised quote", "Schedule the demo")
PLACEHOLDERS = ("tbd", "TBD", "n/a", "N/A", " tbc ", "x", "-", "???", "None", "see notes", "Please Select", "pending",
                "asdf", "Unknown", "...", "to be determined", "Same as above", "🤷", "?")  # fmt: skip
PHONE_PLACEHOLDERS = ("n/a", "-", "unknown", "tbd", "x", "+", "0", "None")
LOST_REASONS = ("Price", "Lost to a competitor", "No budget this year", "No decision", "Project cancelled",
                "Chose to build it themselves", "Went silent after the pilot")  # fmt: skip
SUBJECTS = ("Your question about the pallet robots", "Re: Quote 2214", "Site visit", "RE: RE: Fwd: pricing?",
            "Follow-up", "Merci pour votre appel", "Zeitplan für den Piloten", "Data sheet as promised 👍")  # fmt: skip


def person_name(rng: Random) -> tuple[str, str]:
    """First and last name; about one in thirty is ugly. At most 40 and 80 characters."""
    if rng.random() < 0.035:
        return rng.choice(UGLY_PERSONS)
    return rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)


def email(rng: Random, first: str, last: str, number: int, domain: str) -> str:
    """An address as people type it: mixed case now and then. ``number`` keeps it unlike any other."""
    letters = "".join(char for char in f"{first[:1]}{last}".lower() if char.isascii() and char.isalnum())[:30]
    address = f"{letters or 'office'}{number}@{domain}"
    return address.title() if rng.random() < 0.08 else address


def phone(rng: Random) -> str:
    """A number in one of the formats that people use."""
    a, b, c = rng.randrange(100, 999), rng.randrange(100, 999), rng.randrange(1000, 9999)
    return rng.choice(
        (
            f"+44 20 {b}{a % 10} {c}",
            f"({a}) {b}-{c}",
            f"+49 (0) {a}/{b}{c}",
            f"00 33 {a % 10} {b} {c}",
            f"{a}.{b}.{c} ext. {a % 90 + 10}",
            f"+1{a}{b}{c}",
        )
    )


def company_name(rng: Random) -> str:
    """The name of a company; about one in forty is ugly."""
    if rng.random() < 0.025:
        return rng.choice(UGLY_COMPANIES)
    return f"{rng.choice(COMPANY_HEADS)} {rng.choice(COMPANY_MIDDLES)} {rng.choice(COMPANY_TAILS)}"


def domain(rng: Random, number: int) -> str:
    """A domain in the reserved ``.example``, unlike that of any other company."""
    return f"{rng.choice(COMPANY_HEADS).encode('ascii', 'ignore').decode().lower()}-{number}.example"


def pain(rng: Random) -> str:
    """A problem in the buyer's words; now and then a very long one."""
    who = f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
    text = f"{rng.choice(_WHO)} {rng.choice(_WHAT).format(n=rng.randrange(2, 40))} {rng.choice(_SINCE)} ({who})"
    return f"{text}\r\n{_LONG}" if rng.random() < 0.01 else text


def next_step(rng: Random, day: date) -> str:
    """What happens next, who does it and when."""
    who = f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
    return rng.choice(_STEPS).format(who=who, day=f"{day.day} {day:%B} {rng.randrange(8, 17)}:{rng.randrange(60):02}")


def pasted_step(rng: Random) -> str:
    """The same next step as on many other deals, with what changes when it is pasted: capitals and white space."""
    return rng.choice((PASTED_STEP, PASTED_STEP.upper(), PASTED_STEP.replace(" ", "  "), f" {PASTED_STEP}\n"))


def deal_name(rng: Random, company: str) -> str:
    """The name of a deal: at most 120 characters, and now and then exactly so many."""
    name = f"{company} - {rng.choice(('Pilot', 'Roll-out', 'Renewal', 'Line 2', 'Pallet robots', 'Depot Ost'))}"
    if rng.random() < 0.02:
        name = f"{name} {'with everything they ever asked for ' * 4}"
        return name[:119].ljust(119, "x") + "!"
    return name[:120]
