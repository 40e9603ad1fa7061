"""vCards: reads and writes contacts as text (RFC 6350, RFC 2426, vCard 2.1). No ORM, no HTTP."""
