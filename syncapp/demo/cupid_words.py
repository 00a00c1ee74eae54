"""The words of the generated hotels, and what they are called elsewhere: a dictionary, not a translation."""

from __future__ import annotations

# City, country, latitude, longitude, airport; "" where the service knows none.
CITIES = (
    ("London", "gb", 51.5072, -0.1276, "LHR"),
    ("Leeds", "gb", 53.8008, -1.5491, "LBA"),
    ("Paris", "fr", 48.8566, 2.3522, "CDG"),
    ("Nice", "fr", 43.7102, 7.262, "NCE"),
    ("Málaga", "es", 36.7213, -4.4213, "AGP"),
    ("Sevilla", "es", 37.3891, -5.9845, "SVQ"),
    ("Köln", "de", 50.9375, 6.9603, "CGN"),
    ("Zürich", "ch", 47.3769, 8.5417, "ZRH"),
    ("Kraków", "pl", 50.0647, 19.945, "KRK"),
    ("Lisboa", "pt", 38.7223, -9.1393, ""),
    ("Roma", "it", 41.9028, 12.4964, "FCO"),
    ("New York", "us", 40.7128, -74.006, "JFK"),
    ("Miami", "us", 25.7617, -80.1918, ""),
    ("Dubai", "ae", 25.2048, 55.2708, "DXB"),
    ("Marrakesh", "ma", 31.6295, -7.9811, "RAK"),
)
STREETS = (
    "Station Road",
    "Market Square",
    "Harbour Street",
    "Mill Lane",
    "Königsallee",
    "Rua do Século",
    "Park Avenue",
)
HOTEL_NAMES = ("Grand Hotel {}", "Hotel {} Central", "{} Plaza", "{} Palace", "Station Inn {}", "The Old Mill {}")
HOTEL_NAME_ENDS = ("", "", " & Spa", " by Meridian", " Suites", " (City Centre)")
HOTEL_TYPES = ((204, "Hotels"), (208, "Guest houses"), (201, "Apartments"), (206, "Resorts"))
CHAINS = ((0, ""), (0, ""), (2001, "Meridian Hotels"), (2044, "Northwind Collection"), (3110, "Casa & Co."))
PARKING = ("NOT_AVAILABLE", "AVAILABLE", "FREE", "PAID")

# What a picture shows, its two classes and their id.
PICTURES = (
    ("Facade of the hotel", "Building", "Facade", 1),
    ("Entrance at night", "Building", "Entrance", 2),
    ("Lobby with reception", "Interior", "Lobby", 3),
    ("Bar and lounge", "Food", "Bar", 4),
    ("Restaurant with large windows", "Food", "Restaurant", 5),
    ("Breakfast buffet", "Food", "Breakfast", 6),
    ("Swimming pool and garden", "Wellness", "Pool", 7),
    ("Fitness centre", "Wellness", "Gym", 8),
    ("View of the city", "Outside", "View", 9),
    ("Meeting room", "Business", "Meeting room", 10),
)
ROOM_PICTURES = (
    ("Double room with large bed", "Room", "Bedroom", 20),
    ("Bathroom with shower", "Room", "Bathroom", 21),
    ("Desk and chair", "Room", "Desk", 22),
    ("View from the window", "Outside", "View", 9),
    ("Bed and lamp at night", "Room", "Bedroom", 20),
)
FACILITIES = (
    *("Free WiFi", "Parking", "Family rooms", "Non-smoking rooms", "Restaurant", "Bar", "Breakfast in the room"),
    *("Swimming pool", "Indoor pool", "Sauna", "Massage", "Fitness centre", "Garden", "Terrace", "Library", "Lift"),
    *("Air conditioning", "Heating", "24-hour reception", "Express check-in", "Luggage room", "Safe", "Laundry"),
    *("Dry cleaning", "Airport shuttle", "Car rental", "Bicycle rental", "Meeting room", "Business centre"),
    *("Rooms for guests with reduced mobility", "Pets allowed", "Children's playground", "Games room", "Beach"),
    *("Spa", "Hot tub", "Hairdresser", "Shop in the hotel", "Vending machine", "Charging of electric cars", "Chapel"),
)
# Type, name, description.
POLICIES = (
    ("POLICY_HOTEL_PARKING", "Parking", "Public parking is possible at a location nearby and costs € 20 per day."),
    ("POLICY_CHILDREN", "Children and extra beds", "Children of any age are welcome. Cots are on request."),
    ("POLICY_HOTEL_PETS", "Pets", "Pets are not allowed."),
    ("POLICY_HOTEL_INTERNET", "Internet", "WiFi is available in all areas and is free of charge."),
)
ROOM_KINDS = ("Single Room", "Double Room", "Twin Room", "Family Room", "Junior Suite", "Suite", "Studio", "Apartment")
ROOM_GRADES = ("Standard", "Superior", "Deluxe", "Executive", "Economy")
ROOM_EXTRAS = ("", "", "", " with Balcony", " with Terrace", " with View", " (Non-Smoking)")
BEDS = (
    (1, "Single bed(s)", "90-130 cm wide"),
    (2, "Double bed(s)", "131-150 cm wide"),
    (3, "King bed(s)", "181-210 cm wide"),
    (4, "Sofa bed", ""),
)
VIEWS = ("City view", "Garden view", "Sea view", "Courtyard view", "Mountain view")
AMENITIES = (
    *("Air conditioning", "Heating", "Fan", "Desk", "Wardrobe", "Carpeted floor", "Parquet", "Ironing facilities"),
    *("Shower", "Bath", "Hairdryer", "Towels", "Linen", "Free toiletries", "Slippers", "Bathrobe", "Toilet paper"),
    *("Flat-screen TV", "Satellite channels", "Radio", "Telephone", "Free WiFi", "Socket near the bed", "Minibar"),
    *("Electric kettle", "Coffee machine", "Microwave", "Refrigerator", "Dishwasher", "Kitchenette", "Dining table"),
    *("Safe", "Sofa", "Soundproofing", "Alarm clock", "Wake-up service", "Interconnecting rooms", "Clothes rack"),
    *("Upper floors by lift", "Smoke alarm", "Fire extinguisher", "Key card access", "Blackout curtains"),
)
HEADINGS = ("Location", "Rooms", "Dining", "Wellness", "Good to know")
SENTENCES = (
    "{name} is located in the heart of {city}, a short walk from the station and the old market.",
    "The airport is {number} km away, and the shuttle leaves every hour from the entrance.",
    "All rooms are quiet, have a large bed and a private bathroom with shower, and many offer a view of the garden.",
    "Guests enjoy a breakfast buffet with regional products every morning & coffee all day.",
    "The restaurant serves dinner on the terrace in summer; the bar is open until {number}:00.",
    "The pool, the sauna and the fitness centre are free for guests of the hotel.",
    "A deposit of € {number} is required at arrival and is returned at departure.",
    "The reception is open day and night, and the staff speak many languages.",
    "Families are welcome: there is a playground, and children under {number} stay free in the room of their parents.",
    "Meeting rooms for up to {number} guests have daylight and fast WiFi.",
)
INSTRUCTIONS = (
    "Government-issued photo identification is required at check-in",
    "Special requests depend on availability and may cost extra",
    "The name on the credit card must be the name of the guest",
    "Guests who arrive after 22:00 call the reception before",
)

# A word in French and in Spanish.
WORDS = {
    "a": ("un", "un"),
    "airport": ("aéroport", "aeropuerto"),
    "all": ("tous", "todos"),
    "allowed": ("admis", "admitidas"),
    "and": ("et", "y"),
    "apartment": ("appartement", "apartamento"),
    "available": ("disponible", "disponible"),
    "balcony": ("balcon", "balcón"),
    "bar": ("bar", "bar"),
    "bathroom": ("salle de bains", "baño"),
    "beach": ("plage", "playa"),
    "bed": ("lit", "cama"),
    "breakfast": ("petit-déjeuner", "desayuno"),
    "car": ("voiture", "coche"),
    "centre": ("centre", "centro"),
    "children": ("enfants", "niños"),
    "city": ("ville", "ciudad"),
    "cleaning": ("nettoyage", "limpieza"),
    "coffee": ("café", "café"),
    "day": ("jour", "día"),
    "desk": ("bureau", "escritorio"),
    "dining": ("repas", "comidas"),
    "double": ("double", "doble"),
    "entrance": ("entrée", "entrada"),
    "every": ("chaque", "cada"),
    "facade": ("façade", "fachada"),
    "family": ("famille", "familia"),
    "for": ("pour", "para"),
    "free": ("gratuit", "gratis"),
    "from": ("de", "de"),
    "garden": ("jardin", "jardín"),
    "good": ("bon", "bueno"),
    "grand": ("grand", "gran"),
    "guests": ("clients", "clientes"),
    "have": ("ont", "tienen"),
    "heart": ("cœur", "corazón"),
    "heating": ("chauffage", "calefacción"),
    "hotel": ("hôtel", "hotel"),
    "in": ("dans", "en"),
    "is": ("est", "es"),
    "junior": ("petite", "pequeña"),
    "large": ("grand", "grande"),
    "library": ("bibliothèque", "biblioteca"),
    "lift": ("ascenseur", "ascensor"),
    "located": ("situé", "situado"),
    "location": ("emplacement", "ubicación"),
    "lobby": ("hall", "vestíbulo"),
    "market": ("marché", "mercado"),
    "meeting": ("réunion", "reunión"),
    "mill": ("moulin", "molino"),
    "night": ("nuit", "noche"),
    "not": ("pas", "no"),
    "of": ("de", "de"),
    "old": ("vieux", "viejo"),
    "parking": ("stationnement", "aparcamiento"),
    "pets": ("animaux", "mascotas"),
    "pool": ("piscine", "piscina"),
    "reception": ("réception", "recepción"),
    "required": ("demandé", "necesario"),
    "restaurant": ("restaurant", "restaurante"),
    "room": ("chambre", "habitación"),
    "rooms": ("chambres", "habitaciones"),
    "shower": ("douche", "ducha"),
    "single": ("simple", "individual"),
    "standard": ("standard", "estándar"),
    "station": ("gare", "estación"),
    "terrace": ("terrasse", "terraza"),
    "the": ("le", "el"),
    "twin": ("à deux lits", "con dos camas"),
    "view": ("vue", "vista"),
    "welcome": ("bienvenus", "bienvenidos"),
    "wide": ("de large", "de ancho"),
    "window": ("fenêtre", "ventana"),
    "windows": ("fenêtres", "ventanas"),
    "with": ("avec", "con"),
}
