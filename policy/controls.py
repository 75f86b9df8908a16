"""Controls of SOC 2, HIPAA and GDPR that rules support. No single rule fulfils a control."""

from __future__ import annotations

from policy.rule import Controls


def _controls(soc2: str = "", hipaa: str = "", gdpr: str = "") -> Controls:
    ids = {"soc2": soc2, "hipaa": hipaa, "gdpr": gdpr}
    return {profile: tuple(text.split(", ")) for profile, text in ids.items() if text}


AT_REST = _controls("CC6.1, CC6.7", "§164.312(a)(2)(iv)", "Art. 32(1)(a)")
KEYS = _controls("CC6.1", "§164.312(a)(2)(iv)", "Art. 32(1)(a)")
IN_TRANSIT = _controls("CC6.7", "§164.312(e)(1), §164.312(e)(2)(ii)", "Art. 32(1)(a)")
EXPOSURE = _controls("CC6.1, CC6.6", "§164.312(a)(1)", "Art. 25(2), Art. 32(1)(b)")
DEFENCE = _controls("CC6.6, CC7.1", "§164.308(a)(1)(ii)(B)", "Art. 32(1)(b)")
LEAST_PRIVILEGE = _controls("CC6.1, CC6.3", "§164.308(a)(4), §164.312(a)(1)", "Art. 25(2), Art. 32(1)(b)")
CREDENTIALS = _controls("CC6.1, CC6.2", "§164.312(d)", "Art. 32(1)(b)")
INVENTORY = _controls("CC6.1, CC3.2", "§164.310(d)(2)(iii)", "Art. 30(1)")
AVAILABILITY = _controls("A1.2", "§164.308(a)(7)(ii)(C)", "Art. 32(1)(b)")
RECOVERY = _controls("A1.2, A1.3", "§164.308(a)(7)(ii)(A)", "Art. 32(1)(c)")
INTEGRITY = _controls("CC7.2, PI1.4", "§164.312(c)(1)", "Art. 32(1)(b)")
AUDIT = _controls("CC7.2, CC7.3", "§164.312(b), §164.316(b)(2)(i)", "Art. 5(2), Art. 33(3)")
MINIMUM = _controls("C1.2", "§164.310(d)(2)(i)", "Art. 5(1)(e)")
PLACE = _controls("CC6.1", "§164.308(b)(1)", "Art. 44, Art. 28(3)(a)")
CHANGE = _controls("CC8.1")
