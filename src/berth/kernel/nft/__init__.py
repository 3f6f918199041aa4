"""nftables over raw netlink: tables as values, written in one transaction, read back to be compared.

    model.py        Table, Chain, Rule, Map: values, printable as ``nft list table`` prints them
    statements.py   the matches and verdicts that rules are made of
    transaction.py  values to messages; one batch, all or nothing
    picture.py      what the kernel holds, and what it should hold, in one comparable form

    NFNL_MSG_BATCH_BEGIN ─ NEWTABLE ─ NEWSET ─ NEWCHAIN ─ NEWRULE ... ─ NEWSETELEM ─ NFNL_MSG_BATCH_END

Every rule carries in its user data a comment for people and a digest of its expressions, which is how a table that was
tampered with is told from ours: the kernel gives expressions back with defaults filled in, the digest as it was.
Numbers in nftables attributes are big-endian. Spec: linux/netfilter/nf_tables.h, nfnetlink.h. Needs Linux 5.2 (nat in inet).
"""
