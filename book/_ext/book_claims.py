"""Sphinx directives for the claims ledger.

```{claim} C16```    in a notebook: what the article says, the link's target, and the way back
```{verdict} C16```  in a notebook: the verdict's sentence, with the figures of the run
```{ledger} math```  in the ledger: one section's rows
```{tally}```        in the ledger: how many claims hold, and so on

Figures are glue references into the executed notebooks: one that no run yields is a warning,
and so fails the build.
"""

from collections import Counter
from pathlib import Path

import ledger
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective


class ClaimDirective(SphinxDirective):
    """What the four directives share: the ledger, and MyST text parsed in place."""

    required_arguments = 1
    final_argument_whitespace = True

    def claims(self) -> dict[str, ledger.Claim]:
        path = Path(self.env.srcdir) / "book" / "claims.yml"
        self.env.note_dependency(str(path))
        return {claim.id: claim for claim in ledger.load(path)}

    def chosen(self) -> list[ledger.Claim]:
        """The claims named in the argument. An unknown id is the author's error."""
        known = self.claims()
        ids = self.arguments[0].split()
        if unknown := [id_ for id_ in ids if id_ not in known]:
            raise self.error(f"no such claim in book/claims.yml: {', '.join(unknown)}")
        return [known[id_] for id_ in ids]

    def parsed(self, text: str) -> list[nodes.Node]:
        """Nodes of a MyST text."""
        parent = nodes.Element()
        self.state.nested_parse(
            StringList([text], source="claims.yml"), self.content_offset, parent
        )
        return parent.children

    def target(self, label: str, title: str) -> nodes.target:
        """An anchor that {ref}`label` finds."""
        node = nodes.target("", "", ids=[label])
        standard = self.env.get_domain("std")
        standard.note_hyperlink_target(label, self.env.docname, label, title)
        return node

    def wording(self, claim: ledger.Claim) -> list[nodes.Node]:
        """The article's sentence, in Chinese and in English."""
        chinese = nodes.paragraph(claim.zh, claim.zh, classes=["claim-zh", "language-zh"])
        return [chinese, nodes.paragraph(claim.en, claim.en, classes=["claim-en"])]

    def badge(self, claim: ledger.Claim) -> nodes.inline:
        kind = claim.verdict.replace(" ", "-")
        return nodes.inline(claim.verdict, claim.verdict, classes=["verdict", f"verdict-{kind}"])


class ClaimBox(ClaimDirective):
    def run(self) -> list[nodes.Node]:
        box = nodes.container(classes=["claim"])
        for claim in self.chosen():
            if claim.link == self.env.docname:
                box += self.target(claim.anchor, f"Claim {claim.id}")
            box += self.parsed(f"**The article says** ({{ref}}`{claim.id} <{claim.row}>`)")
            box += self.wording(claim)
        return [box]


class VerdictBox(ClaimDirective):
    def run(self) -> list[nodes.Node]:
        box = nodes.container(classes=["claim", "claim-verdict"])
        for claim in self.chosen():
            found = self.parsed(f"{{ref}}`{claim.id} <{claim.row}>`: {claim.sentence()}")
            found[0].insert(0, nodes.Text(" "))
            found[0].insert(0, self.badge(claim))
            box += found
        return [box]


class Ledger(ClaimDirective):
    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["claims"] = True
        found: list[nodes.Node] = []
        for claim in self.claims().values():
            if claim.section == self.arguments[0]:
                found.append(self.row(claim))
        if not found:
            raise self.error(f"no claims in section {self.arguments[0]!r}")
        return found

    def row(self, claim: ledger.Claim) -> nodes.Node:
        row = nodes.container(classes=["claim"])
        row += self.target(claim.row, f"Claim {claim.id}")
        head = self.parsed(f"**{claim.id}** {{ref}}`{claim.name} <{claim.anchor}>`")
        head[0] += [nodes.Text(" "), self.badge(claim)]
        row += [*head, *self.wording(claim), *self.parsed(claim.sentence())]
        return row


class Tally(ClaimDirective):
    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        counts = Counter(claim.verdict for claim in self.claims().values())
        parts = [f"{counts[verdict]} {verdict}" for verdict in ledger.VERDICTS if counts[verdict]]
        return self.parsed(f"Of {sum(counts.values())} claims: {', '.join(parts)}.")


def write_again(app: Sphinx, env: BuildEnvironment, added, changed, removed) -> list[str]:
    """The ledger quotes other pages' runs, so it is read again when anything is."""
    if not (added or changed or removed):
        return []
    return [
        name for name, data in env.metadata.items() if data.get("claims") and name in env.found_docs
    ]


def setup(app: Sphinx) -> dict:
    app.add_directive("claim", ClaimBox)
    app.add_directive("verdict", VerdictBox)
    app.add_directive("ledger", Ledger)
    app.add_directive("tally", Tally)
    app.connect("env-get-outdated", write_again)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
