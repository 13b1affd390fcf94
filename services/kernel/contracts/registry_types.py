"""The event types every pack has without writing them: who is who, lives where, serves whom.

`REGISTRY_TYPES` is YAML in the shape of a pack's events.yaml (docs/pack-format.md); intake checks
facts against it, registry folds them, risk takes `profile: true` fields as the subject's profile.
A pack may not define one of these types again.

Where a fact's household is meant (`registry.person`, `member.joined`) it is the change's own
`household`, or the field of that name. `registry.area`, `registry.staff` and `registry.duty` are
keyed by the area they are about: their subject is a place. `registry.merged` says that two names
mean one person, or one household. `key_holder` says where the key of the home is, or who keeps it.

What is `protected` leaves the door encrypted only (services/kernel/contracts/protected.py).
"""

from __future__ import annotations

from typing import Final

SOURCE_NAME: Final = "registry_types.yaml"
"""The name under which faults and places of this text are told."""

HOUSEHOLD: Final = "registry.household"
PERSON: Final = "registry.person"
TIE: Final = "registry.tie"
AREA: Final = "registry.area"
STAFF: Final = "registry.staff"
DUTY: Final = "registry.duty"
MERGED: Final = "registry.merged"
JOINED: Final = "member.joined"
LEFT: Final = "member.left"
MOVED: Final = "member.moved"

REGISTRY_TYPES: Final = """
- type: registry.household
  subject: household
  title: {zh: 家庭登记, en: household entry}
  profile: true
  fields:
    name:        {type: text, max_length: 200}
    address:     {type: text, max_length: 500}
    area:        {type: text, max_length: 50}
    grid:        {type: text, max_length: 50}
    phone:       {type: text, max_length: 50, protected: true}
    key_holder:  {type: text, max_length: 200, protected: true}
    categories:  {type: list, of: text, max_length: 50}
    housing:     {type: text, max_length: 50}
    closed_on:   {type: date}
- type: registry.person
  subject: person
  title: {zh: 人员登记, en: person entry}
  profile: true
  fields:
    household:   {type: text, max_length: 200}
    name:        {type: text, max_length: 200}
    birth_date:  {type: date}
    sex:         {type: enum, values: [male, female, unknown]}
    kind:        {type: text, max_length: 50}
    relation:    {type: text, max_length: 50}
    lives_alone: {type: boolean}
    categories:  {type: list, of: text, max_length: 50}
    disability_grade: {type: integer, min: 1, max: 4}
    school:      {type: text, max_length: 200}
    id_number:   {type: text, max_length: 50, protected: true}
    phone:       {type: text, max_length: 50, protected: true}
    died_on:     {type: date}
- type: registry.tie
  subject: person
  title: {zh: 关系登记, en: tie to another household}
  fields:
    household:   {type: text, max_length: 200, required: true}
    role:        {type: text, max_length: 50, required: true}
    from:        {type: date}
    to:          {type: date}
- type: registry.area
  subject: place
  title: {zh: 区域登记, en: area or grid}
  fields:
    name:        {type: text, max_length: 200}
    kind:        {type: enum, values: [province, county, township, village, grid]}
    parent:      {type: text, max_length: 50}
    closed_on:   {type: date}
- type: registry.staff
  subject: place
  title: {zh: 工作人员登记, en: staff entry}
  fields:
    staff:       {type: text, max_length: 200, required: true}
    name:        {type: text, max_length: 200}
    roles:       {type: list, of: text, max_length: 50}
    contact:     {type: text, max_length: 200, protected: true}
    from:        {type: date}
    to:          {type: date}
- type: registry.duty
  subject: place
  title: {zh: 值班安排, en: duty}
  max_ahead: 5m
  fields:
    role:        {type: text, max_length: 50, required: true}
    staff:       {type: text, max_length: 200, required: true}
    contact:     {type: text, max_length: 200, protected: true}
    from:        {type: time, required: true}
    to:          {type: time}
- type: registry.merged
  subject: person
  title: {zh: 身份合并, en: two names were one}
  fields:
    kind:        {type: enum, values: [person, household]}
    was:         {type: text, max_length: 200, required: true}
    became:      {type: text, max_length: 200, required: true}
- type: member.joined
  subject: person
  title: {zh: 成员加入, en: joined the household}
  fields:
    household:   {type: text, max_length: 200}
    relation:    {type: text, max_length: 50}
    reason:      {type: text, max_length: 200}
- type: member.left
  subject: person
  title: {zh: 成员离开, en: left the household}
  fields:
    household:   {type: text, max_length: 200}
    reason:      {type: text, max_length: 200}
    to_household: {type: text, max_length: 200}
- type: member.moved
  subject: person
  title: {zh: 成员搬迁, en: moved to another household}
  fields:
    to_household: {type: text, max_length: 200, required: true}
    from_household: {type: text, max_length: 200}
    reason:      {type: text, max_length: 200}
"""
