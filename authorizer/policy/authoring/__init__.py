"""What authors do with policies besides running them: pure functions over what documents declare, and test cases.

``surgery`` takes conditions apart; ``mutants``, ``trials``, ``equivalents`` are small faults that cases should catch,
``coverage`` the conditions that decide a case alone, ``junit`` a report as other tools read it. Decisions are always
the engine's: whoever calls hands in how a compiled form answers a case.
"""
