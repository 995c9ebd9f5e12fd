//! The `record!` macro.

/// Declares a record type.
///
/// A struct whose fields all have a fixed size becomes a plain `Copy` type that closures read
/// natively. A struct with a `String`, `Vec`, `Option` or `Box` becomes an archived type, read
/// through rkyv's view of it. An enum is archived; each of its variants holds nothing, one value or
/// named fields. Where the macro can't see it (a field's type is itself a record), say
/// `fixed struct`, `archived struct`, `fixed enum` or `archived enum`.
///
/// Every record is `Clone`, `Debug`, `PartialEq` and (de)serialises with serde; derive more
/// (`Eq`, `Hash` for keys) as usual.
///
/// ```
/// use thalweg::prelude::*;
///
/// record! {
///     /// Somebody offers a price.
///     pub struct Bid { pub auction: u64, pub price: u64, pub at: Timestamp }
/// }
/// record! { struct Person { id: u64, name: String } }
///
/// assert_eq!(<Bid as Record>::SIZE, Some(24));
/// let person = Person { id: 1, name: "Ada".into() };
/// assert!(person.lend(|person| person.name.as_str() == "Ada" && person.id == 1));
/// ```
///
/// What holds one of several kinds of event, and how a closure tells them apart. As JSON a variant
/// is what serde makes of it, `{"Paid":{"order":7,"by":"card"}}`; that is its cell of CSV, too.
///
/// ```
/// use thalweg::prelude::*;
///
/// record! {
///     enum Event { Opened, Viewed(u64), Paid { order: u64, by: String } }
/// }
///
/// # let job = Job::new("doc");
/// # let (sink, results) = Collect::new();
/// let paid = Event::Paid { order: 7, by: "card".into() };
/// job.source(Memory::of([Event::Opened, Event::Viewed(3), paid]))
///     .filter_map(|event| match &**event {
///         ArchivedEvent::Paid { order, by } => Some((order.to_native(), by.as_str().to_owned())),
///         ArchivedEvent::Viewed(_) | ArchivedEvent::Opened => None,
///     })
///     .sink(sink);
/// # job.run()?;
/// assert_eq!(results.take(), [(7, "card".to_owned())]);
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis fixed struct $($rest:tt)*) => {
        $crate::__record_as!(fixed $(#[$meta])* $vis struct $($rest)*);
    };
    ($(#[$meta:meta])* $vis:vis archived struct $($rest:tt)*) => {
        $crate::__record_as!(archived $(#[$meta])* $vis struct $($rest)*);
    };
    ($(#[$meta:meta])* $vis:vis fixed enum $($rest:tt)*) => {
        $crate::__record_as!(fixed $(#[$meta])* $vis enum $($rest)*);
    };
    ($(#[$meta:meta])* $vis:vis archived enum $($rest:tt)*) => {
        $crate::__record_as!(archived $(#[$meta])* $vis enum $($rest)*);
    };
    ($(#[$meta:meta])* $vis:vis enum $($rest:tt)*) => {
        $crate::__record_as!(archived $(#[$meta])* $vis enum $($rest)*);
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($fields:tt)* }) => {
        $crate::__record_kind!([$(#[$meta])* $vis struct $name { $($fields)* }] $($fields)*);
    };
}

/// Decides by the fields' types whether a struct is fixed or archived.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_kind {
    ([$($item:tt)*]) => { $crate::__record_as!(fixed $($item)*); };
    ([$($item:tt)*] $(#[$m:meta])* $v:vis $field:ident : String $($rest:tt)*) => {
        $crate::__record_as!(archived $($item)*);
    };
    ([$($item:tt)*] $(#[$m:meta])* $v:vis $field:ident : Vec < $($rest:tt)*) => {
        $crate::__record_as!(archived $($item)*);
    };
    ([$($item:tt)*] $(#[$m:meta])* $v:vis $field:ident : Option < $($rest:tt)*) => {
        $crate::__record_as!(archived $($item)*);
    };
    ([$($item:tt)*] $(#[$m:meta])* $v:vis $field:ident : Box < $($rest:tt)*) => {
        $crate::__record_as!(archived $($item)*);
    };
    ([$($item:tt)*] $(#[$m:meta])* $v:vis $field:ident : $type:ty $(, $($rest:tt)*)?) => {
        $crate::__record_kind!([$($item)*] $($($rest)*)?);
    };
}

/// Writes the type and what [`Record`](crate::record::Record) wants of it.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_as {
    (fixed $(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$fmeta:meta])* $fvis:vis $field:ident : $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[derive($crate::__private::serde::Serialize, $crate::__private::serde::Deserialize)]
        #[serde(crate = "thalweg::__private::serde")]
        #[derive($crate::__private::rkyv::Archive, $crate::__private::rkyv::Serialize)]
        #[derive($crate::__private::rkyv::Deserialize)]
        #[rkyv(crate = $crate::__private::rkyv, derive(Debug))]
        $vis struct $name { $($(#[$fmeta])* $fvis $field: $type),* }

        impl $crate::record::Plain for $name {
            $crate::__record_struct!($name { $($field: $type),* });
            fn shape() -> Option<$crate::record::Shape> {
                $crate::record::Shape::of_plain(
                    stringify!($name),
                    size_of::<$name>(),
                    &[$((
                        stringify!($field),
                        ::std::mem::offset_of!($name, $field),
                        <$type as $crate::record::Record>::shape(),
                    )),*],
                )
            }
            const LAYOUT: $crate::record::stored::Layout = $crate::record::stored::fields(
                size_of::<$name>(),
                &[$((
                    ::std::mem::offset_of!($name, $field),
                    size_of::<$type>(),
                    <$type as $crate::record::Record>::LAYOUT,
                )),*],
            );
            fn valid(bytes: &[u8]) -> bool {
                true $(&& {
                    let at = ::std::mem::offset_of!($name, $field);
                    let field = bytes.get(at..at + size_of::<$type>());
                    field.is_some_and(<$type as $crate::record::Record>::valid)
                })*
            }
        }
    };
    (archived $(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$fmeta:meta])* $fvis:vis $field:ident : $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[derive($crate::__private::serde::Serialize, $crate::__private::serde::Deserialize)]
        #[serde(crate = "thalweg::__private::serde")]
        #[derive($crate::__private::rkyv::Archive, $crate::__private::rkyv::Serialize)]
        #[derive($crate::__private::rkyv::Deserialize)]
        #[rkyv(crate = $crate::__private::rkyv, derive(Debug))]
        $vis struct $name { $($(#[$fmeta])* $fvis $field: $type),* }

        $crate::__record_archived!($name {
            $crate::__record_struct!($name { $($field: $type),* });
            fn shape() -> Option<$crate::record::Shape> {
                $crate::record::Shape::archived($crate::record::Shape::of_struct(
                    stringify!($name),
                    &[$((stringify!($field), <$type as $crate::record::Record>::shape())),*],
                ))
            }
        });
    };
    (fixed $(#[$meta:meta])* $vis:vis enum $name:ident { $($variants:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[derive($crate::__private::serde::Serialize, $crate::__private::serde::Deserialize)]
        #[serde(crate = "thalweg::__private::serde")]
        #[derive($crate::__private::rkyv::Archive, $crate::__private::rkyv::Serialize)]
        #[derive($crate::__private::rkyv::Deserialize)]
        #[rkyv(crate = $crate::__private::rkyv, derive(Debug))]
        $vis enum $name { $($variants)* }

        impl $crate::record::Plain for $name {
            $crate::__record_enum!($name { $($variants)* });
            $crate::__record_variants!(fixed $name { $($variants)* });
        }
    };
    (archived $(#[$meta:meta])* $vis:vis enum $name:ident { $($variants:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[derive($crate::__private::serde::Serialize, $crate::__private::serde::Deserialize)]
        #[serde(crate = "thalweg::__private::serde")]
        #[derive($crate::__private::rkyv::Archive, $crate::__private::rkyv::Serialize)]
        #[derive($crate::__private::rkyv::Deserialize)]
        #[rkyv(crate = $crate::__private::rkyv, derive(Debug))]
        $vis enum $name { $($variants)* }

        $crate::__record_archived!($name {
            $crate::__record_enum!($name { $($variants)* });
            $crate::__record_variants!(archived $name { $($variants)* });
        });
    };
}

/// The shape and the visit of a struct.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_struct {
    ($name:ident { $($field:ident : $type:ty),* }) => {
        fn data_type() -> $crate::record::Type {
            $crate::__record_shape!($name { $($field: $type),* })
        }
        fn visit(&self, to: &mut dyn $crate::record::Visitor) {
            to.fields();
            $(
                to.field(stringify!($field));
                $crate::record::Record::visit(&self.$field, to);
            )*
            to.end();
        }
    };
}

/// The shape and the visit of an enum.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_enum {
    ($name:ident { $(
        $(#[$vmeta:meta])* $variant:ident $(($type:ty))? $({
            $($(#[$fmeta:meta])* $field:ident : $ftype:ty),* $(,)?
        })?
    ),* $(,)? }) => {
        fn data_type() -> $crate::record::Type {
            $crate::record::Type::Enum($crate::record::Schema::new(
                stringify!($name),
                [$((
                    stringify!($variant),
                    $crate::__record_shape!($variant $(($type))? $({ $($field: $ftype),* })?),
                )),*],
            ))
        }
        #[allow(irrefutable_let_patterns)]
        fn visit(&self, to: &mut dyn $crate::record::Visitor) {
            $($crate::__record_variant!(self to $name $variant $(($type))? $({ $($field),* })?);)*
        }
    };
}

/// How an archived enum lies.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_variants {
    ($how:ident $name:ident { $(
        $(#[$vmeta:meta])* $variant:ident $(($type:ty))? $({
            $($(#[$fmeta:meta])* $field:ident : $ftype:ty),* $(,)?
        })?
    ),* $(,)? }) => {
        fn shape() -> Option<$crate::record::Shape> {
            $crate::record::Shape::$how($crate::record::Shape::of_enum(
                stringify!($name),
                &[$($crate::__record_holds!($variant $(($type))? $({ $($field: $ftype),* })?)),*],
            ))
        }
    };
}

/// What a variant of an enum holds: its name, whether its fields have names, and these.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_holds {
    ($name:ident) => {
        (stringify!($name), false, &[])
    };
    ($name:ident ($type:ty)) => {
        (stringify!($name), false, &[("0", <$type as $crate::record::Record>::shape())])
    };
    ($name:ident { $($field:ident : $type:ty),* }) => {
        (
            stringify!($name),
            true,
            &[$((stringify!($field), <$type as $crate::record::Record>::shape())),*],
        )
    };
}

/// The shape of a struct, or of what a variant of an enum holds.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_shape {
    ($name:ident) => {
        $crate::record::Type::Unit
    };
    ($name:ident ($type:ty)) => {
        <$type as $crate::record::Record>::data_type()
    };
    ($name:ident { $($field:ident : $type:ty),* }) => {
        $crate::record::Type::Struct($crate::record::Schema::new(
            stringify!($name),
            [$((stringify!($field), <$type as $crate::record::Record>::data_type())),*],
        ))
    };
}

/// Shows one variant of an enum.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_variant {
    ($self:ident $to:ident $name:ident $variant:ident) => {
        if let $name::$variant = $self {
            $to.variant(stringify!($variant));
            $to.null();
        }
    };
    ($self:ident $to:ident $name:ident $variant:ident ($type:ty)) => {
        if let $name::$variant(inner) = $self {
            $to.variant(stringify!($variant));
            $crate::record::Record::visit(inner, $to);
        }
    };
    ($self:ident $to:ident $name:ident $variant:ident { $($field:ident),* }) => {
        if let $name::$variant { $($field),* } = $self {
            $to.variant(stringify!($variant));
            $to.fields();
            $(
                $to.field(stringify!($field));
                $crate::record::Record::visit($field, $to);
            )*
            $to.end();
        }
    };
}

/// `Record` for a type that lies in frames as its rkyv archive.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_archived {
    ($name:ident { $($shape:tt)* }) => {
        #[allow(unsafe_code)]
        // SAFETY: 1. `Archived` writes a length and the archive, which `size()` counts with the
        // padding to 8; that is neither written nor read. 2. it reads back the same length and
        // bytes. 3. `size()` is a multiple of 8, and `SIZE` is none. 4. rkyv sets the padding in
        // an archive to 0, so all that is written is initialised. 5. `check` has rkyv check the
        // archive; `valid` stays false.
        unsafe impl $crate::record::Record for $name {
            type View<'a> = &'a $crate::record::Archived<$name>;
            const SIZE: Option<usize> = None;
            $($shape)*
            fn lend<T>(&self, look: impl FnOnce(Self::View<'_>) -> T) -> T {
                $crate::record::Archived::lend(self, look)
            }
            fn shorten<'s, 'l: 's>(view: Self::View<'l>) -> Self::View<'s> {
                view
            }
            fn own(view: Self::View<'_>) -> Self {
                view.own()
            }
            fn digest(view: Self::View<'_>) -> u64 {
                view.digest()
            }
            const STORED: $crate::record::stored::Layout =
                $crate::record::Archived::<$name>::STORED;
            fn check(bytes: &[u8]) -> Option<usize> {
                $crate::record::Archived::<$name>::check(bytes)
            }
            #[inline(always)]
            fn size(view: Self::View<'_>) -> usize {
                view.size()
            }
            #[inline(always)]
            unsafe fn write(view: Self::View<'_>, to: *mut u8) {
                // SAFETY: 1. and 2. passed on: `Archived::write` asks for the same.
                unsafe { view.write(to) }
            }
            #[inline(always)]
            unsafe fn read<'a>(from: *const u8) -> (Self::View<'a>, usize) {
                // SAFETY: 1. to 3. passed on: `Archived::read` asks for the same.
                unsafe { $crate::record::Archived::read(from) }
            }
        }
    };
}
