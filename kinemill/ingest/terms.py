"""Terms of column names in German, French, Spanish, Portuguese, Italian and Dutch, and of PLC tags.

Words are lower-case and without accents. A long term also ends a compound, such as `Motorstrom`.
"""

LONG = 5  # letters of a term that ends a compound
# English word: terms, separated by spaces.
_TERMS = {
    "time": "zeit temps tiempo tempo tijd",
    "timestamp": "zeitstempel horodatage horodate tijdstempel",
    "position": "weg posicion posicao posizione positie stellung lage",
    "angle": "winkel angulo angolo hoek",
    "height": "hohe hauteur altura altezza hoogte",
    "velocity": "geschwindigkeit vitesse velocidad velocidade velocita snelheid",
    "speed": "drehzahl toerental regime giri",
    "acceleration": "beschleunigung acceleracao aceleracion aceleracao accelerazione versnelling",
    "pressure": "druck pression presion pressao pressione",
    "temperature": "temperatur temperatura temperatuur",
    "flow": "durchfluss volumenstrom debit caudal vazao portata debiet",
    "level": "fullstand pegel niveau nivel livello",
    "current": "strom courant corriente corrente stroom",
    "voltage": "spannung tension tensao tensione spanning",
    "force": "kraft fuerza forca forza kracht",
    "torque": "drehmoment moment torsion coppia koppel momento",
    "command": "stellgrosse stellwert stellgrad stellsignal befehl commande comando mando comandi "
    "stuursignaal lmn manipulated",
    "control": "controle controllo steuerung regelgrosse",
    "valve": "ventil vanne valvula valvola klep",
    "pump": "pumpe pompe bomba pompa",
    "heater": "heizung chauffage calentador aquecedor riscaldatore verwarming",
    "motor": "moteur motore",
    "setpoint": "sollwert soll fuhrungsgrosse consigne consigna referencia riferimento setpunt "
    "gewenst vorgabe",
    "measured": "istwert ist mesure medida medido misura misurato gemeten gemessen",
    "output": "ausgang sortie saida salida uscita uitgang",
    "input": "eingang entree entrada ingresso ingang",
    "error": "fehler abweichung regelabweichung erreur erro errore fout",
    "latitude": "breitengrad latitud latitudine breedtegraad",
    "longitude": "langengrad longitud longitudine lengtegraad",
    "distance": "strecke distancia distanza afstand",
    "energy": "energie energia",
    "power": "leistung puissance potencia potenza vermogen",
}
_ENGLISH = {term: word for word, terms in _TERMS.items() for term in terms.split()}
# Last words of PLC tags, such as PIC101.SP: set point, process value, manipulated variable.
_TAGS = {"sp": "setpoint", "pv": "measured", "mv": "command", "op": "command", "cv": "command"}


def translate(words: list[str]) -> list[str]:
    """Return words in English; a tag such as `FIC7.MV` ends with what it is."""
    english = [_translate(word) for word in words]
    is_tag = len(words) > 1 and words[-1] in _TAGS and any(word.isdigit() for word in words)
    return [*english[:-1], _TAGS[words[-1]]] if is_tag else english


def _translate(word: str) -> str:
    ends = (term for term in _ENGLISH if len(term) >= LONG and word.endswith(term))
    return _ENGLISH.get(word) or _ENGLISH.get(max(ends, key=len, default=""), word)
