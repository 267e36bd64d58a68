"""Rows to models: one mapper for each model, used for every statement that feeds it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from typing import Annotated, Any, Generic, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, Strict, TypeAdapter, ValidationError

from nexuslims_store.display import quoted
from nexuslims_store.errors import InvalidRowError
from nexuslims_store.models import column_of
from nexuslims_store.refusals import why_refused

Model = TypeVar("Model", bound=BaseModel)
Row = tuple[Any, ...]
Dicts = list[dict[str, Any]]


class RowMapper(Generic[Model]):
    """Turns rows into validated instances of one model.

    Rows are validated some hundred at a time, as tuples, by one TypeAdapter made of the model's
    own fields, and then put into instances without going through `__init__` (see `assemble`). A
    row of session_log takes 2.0 microseconds so, 3.2 where all are held in a list; validating the
    same dicts by one TypeAdapter, Pydantic's own way in bulk, takes 4.0 and 8.1.

    Parameters
    ----------
    model
        The model. Its fields, in their order, are the columns of the rows.
    table
        The table the rows come from, for error messages.
    key
        The field that is the table's primary key, for error messages.
    as_dicts
        For a model whose rows come by the hundred thousand: what makes dicts of its validated
        rows, written out, which makes it 2.0 microseconds from 4.0 of zipping names with values.
        The instances also share one fields-set then, which is a third of their size, and makes it
        3.2 from 4.0 where all are held.
    """

    def __init__(
        self,
        model: type[Model],
        *,
        table: str,
        key: str,
        as_dicts: Callable[[list[Row]], Dicts] | None = None,
    ) -> None:
        self._model = model
        self._table = table
        self._fields = tuple(model.model_fields)
        self._key = self._fields.index(key)
        self._as_dicts = as_dicts or self._zipped
        self._shared = SharedFieldsSet(self._fields) if as_dicts else None
        self._adapter: TypeAdapter[list[Row]] | None = None

    def models(self, rows: Sequence[Row]) -> list[Model]:
        """Return the rows as models.

        Raises
        ------
        InvalidRowError
            The model refuses a row; the message names the first one.
        """
        # Built with the first row: a program that never asks for this model does not pay for it.
        if self._adapter is None:
            self._adapter = row_adapter(column_types(self._model).values())
        try:
            validated = self._adapter.validate_python(rows)
        except ValidationError as error:
            raise self._invalid(rows, error) from error
        return assemble(self._model, self._as_dicts(validated), self._shared)

    def first(self, rows: Sequence[Row]) -> Model | None:
        """Return the first row as a model, None where there is no row."""
        return self.models([rows[0]])[0] if rows else None

    def stream(self, chunks: Generator[list[Row]]) -> Generator[Model]:
        """Yield the rows as models. Those before an invalid row are yielded first."""
        with closing(chunks):  # they hold SQLite's read lock, and a traceback may hold them
            for rows in chunks:
                try:
                    instances = self.models(rows)
                except InvalidRowError:
                    for row in rows:
                        yield from self.models([row])
                    raise
                yield from instances

    def _zipped(self, rows: list[Row]) -> Dicts:
        fields = self._fields
        return [dict(zip(fields, row, strict=True)) for row in rows]

    def _invalid(self, rows: Sequence[Row], error: ValidationError) -> InvalidRowError:
        first = error.errors(include_url=False, include_context=False)[0]
        row_index, column_index = (int(part) for part in first["loc"][:2])
        column = column_of(self._fields[column_index])
        row_id = rows[row_index][self._key]
        return InvalidRowError(
            f"{self._table}, row {quoted(row_id)}: {column} is "
            f"{quoted(rows[row_index][column_index])}: {why_refused(first, column)}",
            call="see `nexuslims-store doctor` for all such rows",
            command="see `nexuslims-store doctor` for all such rows",
            table=self._table,
            row_id=row_id,
            column=column,
        )


# The models take datetimes too. Stored, a time is a text, and C reads it without a function of
# Python's in between, which saves a fifth of the validation.
_StoredTime = Annotated[str, Strict(), AfterValidator(datetime.fromisoformat)]


def column_types(model: type[BaseModel]) -> dict[str, Any]:
    """Return the types of a model's fields, constraints included, as they are in rows."""
    columns = {}
    for name, field in model.model_fields.items():
        column: Any = field.annotation
        if column is datetime:
            column = _StoredTime
        else:
            for constraint in field.metadata:
                column = Annotated[column, constraint]
        columns[name] = column
    return columns


def row_adapter(columns: Iterable[Any]) -> TypeAdapter[list[Row]]:
    """Return what validates rows of these columns."""
    rows: Any = list[tuple[tuple(columns)]]  # type: ignore[misc] # known at run time only
    return TypeAdapter(rows)


# Setting the slots of an instance through their descriptors takes half the time of
# object.__setattr__, which looks each of them up by name.
_set_dict = BaseModel.__dict__["__dict__"].__set__
_set_fields_set = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_set_extra = BaseModel.__dict__["__pydantic_extra__"].__set__
_set_private = BaseModel.__dict__["__pydantic_private__"].__set__


def assemble(
    model: type[Model], dicts: Dicts, shared_fields_set: SharedFieldsSet | None = None
) -> list[Model]:
    """Make instances of a model from values that are valid, without its `__init__`.

    An instance is the same in every respect as one that `model_validate` made of all fields; a
    test compares them. This is the only place that knows what is inside an instance.

    Parameters
    ----------
    dicts
        The `__dict__` of each instance: all fields in their order, with validated values.
    shared_fields_set
        The fields-set that the instances share; by default each has its own.
    """
    private = {name: field.default for name, field in model.__private_attributes__.items()} or None
    new = model.__new__
    instances = []
    for values in dicts:
        instance = new(model)
        _set_dict(instance, values)
        _set_fields_set(instance, shared_fields_set or set(values))
        _set_extra(instance, None)
        _set_private(instance, private and private.copy())
        instances.append(instance)
    return instances


def completed(model: Model, **columns: Any) -> Model:
    """Give a model that nobody else has yet the values that storing it gave its row."""
    # A third of the time of model_copy(), which a frozen model would need.
    model.__dict__.update(columns)
    return model


class SharedFieldsSet(set[str]):
    """A fields-set for many instances at once: it refuses to be changed.

    Pydantic changes that of a frozen model only after it has copied it. Copies, by `copy` and
    by `pickle`, are plain sets.
    """

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("models that were read together share this set; change a model_copy()'s")

    add: Any = _refuse
    clear: Any = _refuse
    difference_update: Any = _refuse
    discard: Any = _refuse
    intersection_update: Any = _refuse
    pop: Any = _refuse
    remove: Any = _refuse
    symmetric_difference_update: Any = _refuse
    update: Any = _refuse
    __iand__: Any = _refuse
    __ior__: Any = _refuse
    __isub__: Any = _refuse
    __ixor__: Any = _refuse

    def __copy__(self) -> set[str]:
        return set(self)

    def __deepcopy__(self, _: dict[int, object]) -> set[str]:
        return set(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return set, (list(self),)

    def __repr__(self) -> str:
        return repr(set(self))
