"""What authors do with policies besides running them: pure functions over what documents declare, and test cases.

- Cases: ``mutants``, ``trials``, ``equivalents`` are small faults that cases should catch, ``coverage`` conditions that
  decide a case alone, ``recorded`` decisions that were made, ``junit`` a report as other tools read it.
- Answers: ``explanation`` is what each policy lacked, by ``evaluation``; ``access`` who is granted what.
- Changes: ``difference`` is what one gives and takes. ``ranges`` and ``regions`` are sets of values and of requests,
  ``extents`` those of policies, ``meanings`` what policies say; ``operations`` compares what leads to rights.
- Texts: ``layout`` and ``comments`` lay documents out, ``expansion`` and ``writing`` write short forms out,
  ``importing`` reads what others wrote, ``descriptions`` what an API says of itself, ``unpacking`` bundles. ``surgery``
  takes conditions apart.

Decisions are always the engine's: whoever calls hands in how a compiled form answers a case.
"""
